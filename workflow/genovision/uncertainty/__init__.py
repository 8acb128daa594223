"""From cached logits and features to scores, SIRC, ensembles and cascades, and how well they tell right from wrong and ID from OOD."""
