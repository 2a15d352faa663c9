"""One study from opening to close: asked, added, journalled, begun anew."""
