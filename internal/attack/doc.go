// Package attack has a test for each attack that no other package tests. SECURITY.md lists all
// attacks.
package attack
