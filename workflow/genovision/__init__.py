"""Ten published systems of generative genomics and vision uncertainty, as pure functions.

One folder per story (promoters, dna, ...); the files beside this one are what several stories share.
Nothing here knows a path of the repository or a key of its configuration.
"""
