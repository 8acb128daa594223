"""Measures and cheap generators for promoter sequences: motifs by position, composition, Markov chains, shuffles."""
