"""One module per concern that all requests share, in the order in which `gateway.app` lines them up."""
