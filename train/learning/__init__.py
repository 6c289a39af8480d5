"""Encoders, pretraining, fitting, thresholds, and the bundle that comes out. The only room that imports torch."""
