"""A model as a file that runs elsewhere: uint8 pixels in, features out."""
