DROP TABLE harbour;
