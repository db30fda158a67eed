"""What is in the containers: how they start, what they show, and who watches over them."""
