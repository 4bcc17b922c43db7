package mailserver

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// account is a user of the server.
type account struct{ name, password string }

func (a account) String() string { return a.name + ":" + a.password }

// parseUsers reads the value of -users. Its error does not tell the passwords.
func parseUsers(list string) ([]account, error) {
	var accounts []account
	for i, entry := range strings.Split(list, ",") {
		name, password, _ := strings.Cut(strings.TrimSpace(entry), ":")
		var err error
		switch {
		case name == "" || password == "":
			err = errors.New("must be name:password")
		case strings.ContainsFunc(entry, unicode.IsControl):
			err = errors.New("has a control character in it")
		case hasAccount(accounts, name):
			err = errors.New("has the name of another user")
		}
		if err != nil {
			err = fmt.Errorf("entry %d %w; it takes a list such as karen:pass,bob:pass", i+1, err)
			return nil, wrongValue("users", withoutPasswords(list), err)
		}
		accounts = append(accounts, account{name, password})
	}
	return accounts, nil
}

// hasAccount ignores case, as the limits do when they count users.
func hasAccount(accounts []account, name string) bool {
	for _, a := range accounts {
		if strings.EqualFold(a.name, name) {
			return true
		}
	}
	return false
}

func withoutPasswords(list string) string {
	entries := strings.Split(list, ",")
	for i, entry := range entries {
		if name, password, _ := strings.Cut(entry, ":"); password != "" {
			entries[i] = name + ":***"
		}
	}
	return strings.Join(entries, ",")
}
