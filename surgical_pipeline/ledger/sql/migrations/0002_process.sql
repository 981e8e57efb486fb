-- A place held for a migration that is made elsewhere; it is replaced when the two come together.
SELECT 1;
