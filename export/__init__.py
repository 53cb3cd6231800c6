"""A checkpoint and, where wanted, a style become a bundle that an engine loads."""

GENERATED = "<!-- written by brushcast-export -->"
"""A line of every model card that no person wrote; such a card is made anew by the next export."""
COPY = "<!-- of this copy, by brushcast-export -->"
"""What follows this line of a card was not written by a person, and is not carried on."""
