"""Tests of launch/serving against an HTTP server on loopback."""
