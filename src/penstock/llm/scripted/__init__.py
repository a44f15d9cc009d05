"""The scripted model: no intelligence, only rules over the real input. It needs no key, no network and no money."""
