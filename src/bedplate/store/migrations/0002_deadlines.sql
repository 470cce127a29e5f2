-- When a turn that an agent has taken must be over. A gateway after this one holds it to the same time.
ALTER TABLE turns ADD COLUMN deadline REAL;
