"""What the gate says of models, against what real serving environments did with them."""
