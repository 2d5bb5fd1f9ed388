"""Commands: what an operator types. Each is a module that `s4gw.tools.cli` lists."""
