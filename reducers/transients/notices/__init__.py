"""What satellites say about events: read, put into order, and turned into localisations."""
