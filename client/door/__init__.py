"""What leaves a hospital: checked, charged and masked before a reply is built."""
