"""Readers: the bytes of one file in, its paragraphs (`Line`) in reading order out. One module per format."""
