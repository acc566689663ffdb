"""What people and programs touch: command line and HTTP. The only room with a main(), environment and output."""
