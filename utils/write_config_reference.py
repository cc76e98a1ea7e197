"""Write docs/configuration.md from the schema: python utils/write_config_reference.py"""

from pathlib import Path

from ucf_vit.config import reference

if __name__ == "__main__":
    page = Path(__file__).parents[1] / "docs" / "configuration.md"
    page.write_text(reference(), encoding="utf-8")
    print(f"wrote {page}")
