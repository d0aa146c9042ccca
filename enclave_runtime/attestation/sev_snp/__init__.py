"""AMD SEV-SNP: the report's layout, AMD's certificates, and the rules by which they are believed."""
