"""What an export tells at its end."""

from __future__ import annotations

from engines.bundle import Bundle


def files_table(bundle: Bundle) -> str:
    """Sizes and hashes of a bundle's files; its styles in one line."""
    lines = [f"{'file':<36} {'KiB':>9}  SHA-256"]
    files: dict[str, dict[str, object]] = bundle.manifest["files"]
    total = styles = 0
    for name, entry in files.items():
        size = int(str(entry["bytes"]))
        total += size
        if name.startswith("styles/"):
            styles += size
        else:
            lines.append(f"{name:<36} {size / 1024:>9.1f}  {entry['sha256']}")
    if bundle.styles:
        lines.append(f"{f'styles/ ({len(bundle.styles)})':<36} {styles / 1024:>9.1f}")
    return "\n".join([*lines, f"{'total':<36} {total / 1024:>9.1f}"])
