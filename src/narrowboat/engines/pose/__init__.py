"""People's poses in pictures, with the BlazePose models on LiteRT."""
