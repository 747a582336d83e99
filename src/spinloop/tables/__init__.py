"""What a run keeps on disk: tables of annotated people, packed crops, images and videos, fits."""
