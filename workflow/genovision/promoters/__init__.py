"""From reference genomes and transcription start sites to promoter windows, their split and data sheet."""
