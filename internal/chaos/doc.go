// Package chaos has the tests in which hundreds of clients do random things to a server with all
// four packages, and hang up at random moments.
package chaos
