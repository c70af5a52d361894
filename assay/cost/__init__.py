"""Tell what tables and sources cost, who reads them, and what could be saved."""
