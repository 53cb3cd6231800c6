"""What `brushcast bench` measures, keeps, compares and draws; the command itself is in realtime.commands.bench."""
