"""The Storage SCP: takes what is sent, understands no more of it than it must."""
