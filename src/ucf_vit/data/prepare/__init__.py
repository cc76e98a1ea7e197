"""Data sets made ready for tile reads: any source as sharded, chunked, checked arrays beside a manifest."""
