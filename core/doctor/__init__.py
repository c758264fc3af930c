"""The doctor: looks at a running deployment part by part and says what is wrong and how to mend it."""
