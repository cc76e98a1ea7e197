"""Images to tokens and back: tiles, uniform patches (`uniform`), adaptive patches (`adaptive`)."""
