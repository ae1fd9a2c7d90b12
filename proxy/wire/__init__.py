"""Pure HTTP: what bytes mean and which bytes are sent. No sockets, no clock."""
