DROP TABLE permission;
DROP TABLE role;
