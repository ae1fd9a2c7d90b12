"""
The configuration: YAML in, frozen and typed `Settings` out, or every error at once with its place.

- `document`: bytes become nodes that know their line and column; everything is bounded.
- `resolve`, `secrets`: nodes get their values; what two YAML readers read differently is refused.
- `merge`: one file or a folder of files becomes one tree.
- `schema`, `syntax`, `quantities`, `matchers`: what the keys are and what their values look like.
- `explain`, `crosscheck`, `problem`: what is wrong, where, and what was probably meant.
- `load`: all of the above in order. `convert`: settings become the nouns of `model`.
- `json_schema`, `reference`: the same keys for editors and for readers.
"""
