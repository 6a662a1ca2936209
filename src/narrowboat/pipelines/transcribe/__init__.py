"""Episodes to transcripts."""
