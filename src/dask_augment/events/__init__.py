"""Events as columns: names, layouts, types, strata, four-vectors, constituents and expressions."""
