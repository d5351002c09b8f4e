-- no-transaction
SELECT 1;;
/* never ends