//! A migrator is cloned with every option, and shows only what tells it from another.

use std::fmt;

use super::Migrator;

impl<C> Clone for Migrator<C> {
    fn clone(&self) -> Self {
        Self {
            set: self.set.clone(),
            schema: self.schema.clone(),
            set_name: self.set_name.clone(),
            wait: self.wait.clone(),
            statement_lock_timeout: self.statement_lock_timeout,
            policies: self.policies,
            non_empty: self.non_empty,
            serves_from: self.serves_from.clone(),
            environment: self.environment,
            application: self.application.clone(),
            confirmed: self.confirmed.clone(),
            backup: self.backup.clone(),
            source: self.source.clone(),
            files: self.files.clone(),
            fault: self.fault.clone(),
            retry: self.retry,
            pause: self.pause.clone(),
            tried: self.tried.clone(),
            setup: self.setup.clone(),
            teardown: self.teardown.clone(),
            connect: self.connect.clone(),
            second: self.second.clone(),
        }
    }
}

impl<C> fmt::Debug for Migrator<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator").field("set", &self.set).field("schema", &self.schema).finish_non_exhaustive()
    }
}
