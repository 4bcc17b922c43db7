// Package attack has a test for each attack that no package's own tests are about. SECURITY.md
// lists them all.
package attack
