"""Hospitals that do not exist, and engines that run studies over them."""
