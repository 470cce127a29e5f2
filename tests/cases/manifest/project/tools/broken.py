def add(:
