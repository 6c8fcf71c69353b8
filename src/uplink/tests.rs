//! The driver against a scripted receiver over a real socket, and a real database behind the port.
