"""What the gateway costs on the wire, against its rivals on the same machine in the same run. See ``bench/README.md``."""
