"""A folder that installs yaodian on a PC without a network: wheels, bundle, installers."""
