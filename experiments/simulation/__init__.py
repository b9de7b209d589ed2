"""Campaigns that have not begun: worlds assumed, campaigns simulated, and what follows."""
