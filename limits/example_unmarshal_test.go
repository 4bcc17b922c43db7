package limits_test

import (
	"encoding/json"
	"fmt"
	"log"

	"github.com/imapgate/imapgate/limits"
)

// A file has only the differences from the defaults. A misspelled key is an error.
func ExampleOptions_UnmarshalJSON() {
	file := []byte(`{
		"maxLoginsPerUser": 10,
		"fetchQueueTimeout": "20s",
		"exempt": ["192.0.2.0/24"]
	}`)
	options := limits.DefaultOptions()
	if err := json.Unmarshal(file, options); err != nil {
		log.Fatal(err)
	}
	if err := options.Validate(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(options.MaxLoginsPerUser, options.FetchQueueTimeout, options.Exempt)
	fmt.Println(options.MaxFetches, "FETCHes, as before")

	fmt.Println(json.Unmarshal([]byte(`{"maxLogins": 10}`), options))
	// Output:
	// 10 20s [192.0.2.0/24]
	// 50 FETCHes, as before
	// limits: there is no setting "maxLogins"
}
