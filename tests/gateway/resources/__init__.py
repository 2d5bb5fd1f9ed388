"""Tests of `s4gw.gateway.resources`: operations through the whole application, without a socket."""
