"""What doors, admin side and sign-in all use. It knows none of them."""
