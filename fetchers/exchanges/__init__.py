"""One module per exchange; the file name is the registration."""
